"""Every combination of methods, measurements, images, seeds and settings, in vectorized and resumable batches."""
