"""Running a network on one device: half precision, CUDA graphs, threads."""
