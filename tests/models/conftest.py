"""Networks are compared in full float32, whatever shortcuts the processor at hand offers."""

import pytest
import torch


@pytest.fixture(autouse=True)
def exact_products():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)
