"""Importing TFLite models."""
