"""Small TFLite models written for tests, and LiteRT as the oracle that runs them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    "float32": (schema.TensorType.FLOAT32, np.float32),
    "int8": (schema.TensorType.INT8, np.int8),
    "uint8": (schema.TensorType.UINT8, np.uint8),
    "int16": (schema.TensorType.INT16, np.int16),
    "int32": (schema.TensorType.INT32, np.int32),
    "int64": (schema.TensorType.INT64, np.int64),
}
NONE, RELU, RELU_N1_TO_1, RELU6 = 0, 1, 2, 3
SAME, VALID = 0, 1


@dataclass
class Written:
    """A model under construction: tensors and operators in the order of their calls."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: str = "int8",
        scale: Any = None,
        zero_point: Any = 0,
        data: Any = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor, a constant if ``data`` is given; its index."""
        made = schema.TensorT()
        made.name = f"tensor{len(self.tensors)}".encode()
        made.shape = np.asarray(shape, np.int32)
        made.type, container = TYPES[dtype]
        made.buffer = 0
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.scale = scales
            quantization.zeroPoint = np.broadcast_to(
                np.asarray(zero_point, np.int64), scales.shape
            ).copy()
            quantization.quantizedDimension = axis
            made.quantization = quantization
        if data is not None:
            made.buffer = len(self.buffers)
            buffer = schema.BufferT()
            elements = np.ascontiguousarray(np.asarray(data, container).reshape(shape))
            buffer.data = np.frombuffer(elements.tobytes(), np.uint8)
            self.buffers.append(buffer)
        self.tensors.append(made)
        self.shapes.append(tuple(shape))
        return len(self.tensors) - 1

    def ints(self, values: Any) -> int:
        """Add a constant of int32."""
        array = np.asarray(values, np.int32)
        return self.tensor(array.shape, "int32", data=array)

    def operator(self, name: str, inputs: list[int], outputs: list[int], **options: Any) -> None:
        """Append an operator; options belong to the table of that operator."""
        code = getattr(schema.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = self.codes.index(code)
        made.inputs, made.outputs = np.asarray(inputs, np.int32), np.asarray(outputs, np.int32)
        table = OPTIONS.get(name)
        if table is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            made.builtinOptions = getattr(schema, f"{table}T")()
            for key, value in options.items():
                assert hasattr(made.builtinOptions, key), key
                setattr(made.builtinOptions, key, value)
        self.operators.append(made)

    def model(self, inputs: list[int], outputs: list[int]) -> bytes:
        """The bytes of the file."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = np.asarray(inputs, np.int32), np.asarray(outputs, np.int32)
        graph.name = b"main"
        model = schema.ModelT()
        model.version = 3
        model.subgraphs, model.buffers = [graph], self.buffers
        model.operatorCodes = []
        for code in self.codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode = code, min(code, 127)
            entry.version = VERSIONS.get(code, 1)
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())


OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "RESHAPE": "ReshapeOptions",
    "SQUEEZE": "SqueezeOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "TRANSPOSE": "TransposeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "HARD_SWISH": "HardSwishOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "CONCATENATION": "ConcatenationOptions",
    "QUANTIZE": "QuantizeOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SLICE": "SliceOptions",
    "SPLIT": "SplitOptions",
    "SHAPE": "ShapeOptions",
    "PACK": "PackOptions",
}
VERSIONS = {schema.BuiltinOperator.CONV_2D: 5, schema.BuiltinOperator.FULLY_CONNECTED: 4}


def interpreter(model: bytes, semantics: str, batch: int | None = None) -> Any:
    """LiteRT's interpreter with the kernels of ``semantics``, its tensors allocated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    resolver = {"tflite": OpResolverType.BUILTIN_REF, "xnnpack": OpResolverType.AUTO}[semantics]
    made = Interpreter(
        model_content=model,
        experimental_op_resolver_type=resolver,
        experimental_preserve_all_tensors=semantics == "tflite",
        num_threads=1,
    )
    if batch is not None:
        for entry in made.get_input_details():
            made.resize_tensor_input(entry["index"], [batch, *entry["shape"][1:]])
    made.allocate_tensors()
    return made


def litert(model: bytes, semantics: str, *inputs: Any) -> list[Any]:
    """The outputs of LiteRT, by default resolver or by reference kernels; any batch, row by row."""
    made = interpreter(model, semantics)
    rows = []
    for index in range(len(inputs[0])):
        for entry, array in zip(made.get_input_details(), inputs, strict=True):
            made.set_tensor(entry["index"], array[index : index + 1])
        made.invoke()
        rows.append([made.get_tensor(entry["index"]) for entry in made.get_output_details()])
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def traced(model: bytes, inputs: Any) -> dict[str, Any]:
    """Every computed tensor by name, by reference kernels."""
    made = interpreter(model, "tflite")
    entry = made.get_input_details()[0]
    outputs = [
        (detail["index"], detail["name"])
        for operator in made._get_ops_details()
        for detail in made.get_tensor_details()
        if detail["index"] in operator["outputs"]
    ]
    rows: dict[str, list[Any]] = {name: [] for _, name in outputs}
    for index in range(len(inputs)):
        made.set_tensor(entry["index"], inputs[index : index + 1])
        made.invoke()
        for number, name in outputs:
            rows[name].append(made.get_tensor(number))
    return {name: np.concatenate(parts) for name, parts in rows.items()}
