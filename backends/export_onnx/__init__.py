"""A program in standard ONNX operators on integers, for executors that share no code with us."""
