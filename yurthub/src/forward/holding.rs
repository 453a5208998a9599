//! A body that holds something for as long as it goes on: a place on a connection, a permit.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::BoxError;

/// See the module. What is held is dropped with the body, at its end or before.
pub struct Holding<B, T> {
    body: B,
    _held: T,
}

impl<B, T> Holding<B, T> {
    /// `body`, which holds `held`.
    pub fn new(body: B, held: T) -> Self {
        Self { body, _held: held }
    }
}

impl<B, T> HttpBody for Holding<B, T>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
    T: Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::{BodyExt, Full};

    use super::*;

    #[tokio::test]
    async fn what_is_held_goes_with_the_body_and_not_before() {
        let held = Arc::new(());
        let mut body = Holding::new(Full::new(Bytes::from_static(b"all")), Arc::clone(&held));
        assert_eq!(body.size_hint().exact(), Some(3));
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "all");
        assert!(body.is_end_stream());
        assert_eq!(Arc::strong_count(&held), 2);
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
