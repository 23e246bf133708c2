"""What a program becomes: the blob, its simulation, and exports for other tools."""
