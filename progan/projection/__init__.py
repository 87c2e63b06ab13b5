"""Find the latents whose images are nearest to given images."""
