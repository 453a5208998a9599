//! Makes the kernel drop what arrives for a socket, before TCP sees it: nothing is acknowledged, as on a dead link.

use std::os::fd::AsFd;

use socket2::{SockFilter, SockRef};

/// "Return 0", that is keep nothing (`BPF_RET | BPF_K` of the kernel's `include/uapi/linux/bpf_common.h`).
const DROP_ALL: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// Drops all that arrives for `socket`, or no more of it. One that is closed already has nothing to drop.
pub(super) fn swallow(socket: &impl AsFd, all: bool) {
    let socket = SockRef::from(socket);
    let _ = if all {
        socket.attach_filter(&[DROP_ALL])
    } else {
        socket.detach_filter()
    };
}
