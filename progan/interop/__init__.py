"""Networks that other programs trained: the official TensorFlow code and pytorch_GAN_zoo."""
