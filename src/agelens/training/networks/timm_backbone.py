"""Any network of timm as a backbone, with the preprocessing that timm lists for it."""

from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.data.config import resolve_data_config
from torch import Tensor, nn

from agelens.errors import ConfigError, TrainingError
from agelens.training.networks.layers import Backbone
from agelens.training.recipes.config import MemberConfig, ModelConfig


class TimmBackbone(Backbone):
    """Map RGB of 0 to 255, (B, 3, S, S), to timm's pooled features, a map of one position."""

    def __init__(self, config: ModelConfig | MemberConfig, pretrained: bool) -> None:
        """Build `timm/NAME` with weights from a safetensors file, from "hub", or without any.

        Raises ConfigError for an unknown network, TrainingError for weights that do not fit.
        """
        super().__init__()
        name = config.backbone.removeprefix("timm/")
        if not timm.is_model(name.split(".")[0]):
            near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
            raise ConfigError(f"model.backbone: timm has no network {name!r}; near: {near}")
        hub = pretrained and config.weights == "hub"
        try:
            net: Any = timm.create_model(name, pretrained=hub, num_classes=0)
            if pretrained and config.weights and not hub:
                state = load_file(config.weights)
                own = set(net.state_dict())
                missing = net.load_state_dict(
                    {key: value for key, value in state.items() if key in own}, strict=False
                ).missing_keys
                if missing:
                    raise TrainingError(
                        f"{config.weights} lacks {len(missing)} tensors of {name}, "
                        f"the first {missing[0]!r}"
                    )
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"cannot get the weights of {name!r}: {error}") from error
        self.net = net
        self.num_features = int(net.num_features)
        data = resolve_data_config(model=net)  # type: ignore[no-untyped-call,unused-ignore]
        mean, std = torch.tensor(data["mean"]) * 255, torch.tensor(data["std"]) * 255
        self.register_buffer("mean", mean[:, None, None], persistent=False)
        self.register_buffer("std", std[:, None, None], persistent=False)
        self.stages = nn.ModuleList()  # timm's layers do not freeze one by one

    mean: Tensor
    std: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) of 0 to 255 to (B, num_features, 1, 1)."""
        features: Tensor = self.net((x - self.mean) / self.std)
        return features[:, :, None, None]
