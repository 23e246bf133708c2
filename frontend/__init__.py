"""Readers of trained networks: each turns one source format into a verified ``ir.graph.Graph``.

``onnx_import`` and ``torch_import`` give the float stage; ``compare`` runs a graph against the
executor that its source format trusts. All frontends emit through ``emit`` and the ``emit_*``
files, which know nothing of any format.
"""
