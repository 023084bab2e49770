"""Files that come in chunks. A chunk is a line of JSON with the members file, size, sha256 and offset, and the bytes."""

import hashlib
import json

CHUNK = 32 * 1024
FILE_MAX = 1 << 30  # bytes of one file
OPEN_MAX = 16  # files at a time


def take(folder, files, tag, message):
    """Writes a chunk. The answer and the line to print if the file is complete. Senders are strangers: all is checked."""
    line, data = message.split(b"\n", 1)
    header = json.loads(line)
    name, size, sha256, offset = (header[field] for field in ("file", "size", "sha256", "offset"))
    if not 0 < len(name) <= 100 or name[0] == "." or set(name) & set("/\\:") or not name.isprintable():
        raise ValueError("bad name")
    if not 0 <= size <= FILE_MAX or len(bytes.fromhex(sha256)) != 32 or len(data) != min(CHUNK, size - offset):
        raise ValueError("bad size")
    part = folder / f".{sha256}-{tag.hex()}.part"
    if part not in files:
        if len(files) >= OPEN_MAX:
            raise ValueError("too many files at a time")
        files[part] = set(range(0, max(size, 1), CHUNK))
    files[part].remove(offset)
    with open(part, "r+b" if part.exists() else "xb") as file:
        file.seek(offset)
        file.write(data)
    if files[part]:
        return None
    del files[part]
    is_intact = hashlib.sha256(part.read_bytes()).hexdigest() == sha256
    target = folder / name
    if is_intact:  # never over another file
        part.replace(folder / f"{sha256[:8]}-{name}" if target.exists() else target)
    else:
        part.unlink()
    return {"sha256": sha256, "complete": is_intact}, f"received {name} {size} {sha256}" if is_intact else f"damaged {name}"
