"""Importing Brevitas modules: their quantizers, read and probed."""
