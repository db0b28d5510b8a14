"""The units that move data between memory and the buffers on the chip."""
