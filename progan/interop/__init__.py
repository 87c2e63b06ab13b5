"""Import networks of the official TensorFlow code and pytorch_GAN_zoo, and export generators."""
