"""Running networks on one device: half precision, CUDA graphs, threads."""
