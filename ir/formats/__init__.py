"""Storage formats: how the elements of a constant become bytes, and back. One file each."""
