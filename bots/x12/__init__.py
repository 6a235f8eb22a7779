"""The X12 codec, pure: text to values and back. Tolerant when reading, strict when writing."""
