"""Pure networks: tensors in, tensors out.

They know nothing about files, devices, frames or videos. The caller chooses dtype, device and compilation.
"""
