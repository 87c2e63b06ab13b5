"""CelebA-HQ: faces of the wild CelebA, cut out upright and improved (appendix C of the paper)."""
