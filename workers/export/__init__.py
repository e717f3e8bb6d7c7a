"""`mattebox models export`: our own networks as ONNX files, in float32, float16 and int8, checked against torch."""
