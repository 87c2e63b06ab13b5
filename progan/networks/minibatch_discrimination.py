"""Minibatch discrimination (Salimans et al. 2016, section 3.2), rows e* of table 1 of the paper."""

import torch
from torch import Tensor, nn

from progan.networks.layers import Equalized

KERNEL_SIZE = 5


class MinibatchDiscrimination(Equalized):
    """Append to the features of each image how near those of the others are: [N, F] -> [N, F + K].

    o_b(x_i) is the sum over j != i of exp(-|M_i,b - M_j,b|_1), M_i = T f(x_i) of shape [K, 5].
    The image itself, which is at distance 0 always, is left out.
    """

    def __init__(self, inputs: int, kernels: int) -> None:
        super().__init__((kernels * KERNEL_SIZE, inputs), gain=1, equalized=False)
        self.bias = nn.Parameter(torch.empty(kernels))

    def forward(self, x: Tensor) -> Tensor:
        rows = (x @ self.weight.T).reshape(len(x), -1, KERNEL_SIZE)
        distances = (rows[:, None] - rows[None]).abs().sum(dim=3)  # [N, N, K]
        return torch.cat([x, (-distances).exp().sum(dim=1) - 1 + self.bias], dim=1)
