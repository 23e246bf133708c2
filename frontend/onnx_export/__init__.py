"""Writing a program as an ONNX model of integer operators, which other executors can run."""
