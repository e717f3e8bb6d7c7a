"""ImageNet's figures, with which most networks normalise RGB from 0 to 1.

A module of its own because runners of networks must load where OpenCV and FFmpeg are not installed.
"""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
