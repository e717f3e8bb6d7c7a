"""The outputs of semantic segmentation as soft maps of classes. Tensors in, tensors out."""
