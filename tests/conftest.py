"""Settings that must stand before torch and the Hugging Face libraries are imported."""

import os

os.environ["OMP_WAIT_POLICY"] = "passive"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)
