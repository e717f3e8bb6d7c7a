"""What a picture is: frames, colour, size and time, the same for every source and sink."""
