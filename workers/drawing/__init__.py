"""Draw pictures with the diffusion models of mlx-vlm, a denoising step at a time."""
