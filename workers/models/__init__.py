"""Pure networks: tensors in, tensors out.

They know nothing about files, devices, pictures or videos. Dtype, device and compilation are chosen by who loads them.
"""
