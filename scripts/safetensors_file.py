"""Writes tensors as a safetensors file, without any package."""

import json
import struct


def write_safetensors(tensors, metadata, path):
    """`tensors`: shape and little-endian float32 bytes by name, in the order of the file."""
    header = {"__metadata__": {"format": "pt", **metadata}}
    at = 0
    for name, (shape, content) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(content)]}
        at += len(content)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(content for _, content in tensors.values())
