#!/usr/bin/env python3
"""pack_image.py OUT.tar NAME:TAG CONFIG ENTRY...: a container image of one layer, as `ctr images import` reads it.

CONFIG is the image's configuration as JSON. An ENTRY is `path=FILE` (a copy of FILE, mode 755), `path->target` (a
symbolic link) or `path/` (an empty folder; `tmp/` is writable for all). Parent folders come by themselves.
"""
import hashlib
import io
import json
import sys
import tarfile


def add(archive, name, data, mode=0o644):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    archive.addfile(info, io.BytesIO(data))


def add_folders(archive, path, seen):
    """Adds `path` and the folders above it, those in `seen` excepted."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        folder = "/".join(parts[:depth])
        if folder and folder not in seen:
            seen.add(folder)
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            info.mode = 0o1777 if folder == "tmp" else 0o755
            archive.addfile(info)


def pack_layer(entries):
    buffer = io.BytesIO()
    seen = set()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for entry in entries:
            if entry.endswith("/"):
                add_folders(layer, entry.rstrip("/"), seen)
                continue
            is_link = "->" in entry
            path, source = entry.split("->" if is_link else "=", 1)
            add_folders(layer, path.rpartition("/")[0], seen)
            if is_link:
                info = tarfile.TarInfo(path)
                info.type, info.linkname = tarfile.SYMTYPE, source
                layer.addfile(info)
            else:
                with open(source, "rb") as file:
                    add(layer, path, file.read(), 0o755)
    return buffer.getvalue()


def main(out, name, config, entries):
    layer = pack_layer(entries)
    layer_id = hashlib.sha256(layer).hexdigest()
    description = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": json.loads(config),
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_id]},
            "history": [{"created_by": "pack_image.py"}],
        }
    ).encode()
    description_name = hashlib.sha256(description).hexdigest() + ".json"
    layer_name = layer_id + "/layer.tar"
    manifest = [{"Config": description_name, "RepoTags": [name], "Layers": [layer_name]}]
    with tarfile.open(out, "w") as image:
        add(image, description_name, description)
        add(image, layer_name, layer)
        add(image, "manifest.json", json.dumps(manifest).encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
