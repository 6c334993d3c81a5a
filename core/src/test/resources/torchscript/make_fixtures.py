#!/usr/bin/env python3
"""Makes the TorchScript fixtures beside this file (made with PyTorch 1.13; any later one works).

Each model NAME.pt has a NAME.json: an input, the logits and the features in evaluation mode, a
loss (the sum of squared logits) and the gradient norm of every parameter, all from Python.
"""
import json
import pathlib
import zipfile

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x):
        return torch.relu(x + self.bn(self.conv(x)))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.layer1 = nn.Sequential(Block(6), Block(6))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(torch.flatten(self.pool(self.layer1(x)), 1))


class WithFeatures(Plain):
    @torch.jit.export
    def features(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.flatten(self.pool(self.layer1(x)), 1)

    def forward(self, x):
        return self.fc(self.features(x))


class Pair(Plain):
    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        features = torch.flatten(self.pool(self.layer1(x)), 1)
        return self.fc(features), features


class NormMlp(nn.Module):
    """No linear layer at the end: a cosine-like head that has no features to offer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 5)
        self.norm = nn.LayerNorm(5)
        self.weight = nn.Parameter(torch.randn(4, 5))

    def forward(self, x):
        h = torch.tanh(self.norm(self.inner(x)))
        return torch.cosine_similarity(h.unsqueeze(1), self.weight.unsqueeze(0), dim=2)


def settle(model):
    """Running statistics and affine parameters that are not the trivial ones."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def numbers(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().flatten().tolist()}


def save(name, script):
    """Saves without debug records, which are large and name files of the machine."""
    raw = HERE / (name + ".raw")
    script.save(str(raw))
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(HERE / (name + ".pt"), "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                data = old.read(entry)
                new.writestr(zipfile.ZipInfo(entry.filename), data)
    raw.unlink()


def write(name, model, script, x, features):
    save(name, script)
    out = model(x)
    logits = out[0] if isinstance(out, tuple) else out
    loss = (logits**2).sum()
    model.zero_grad()
    loss.backward()
    expected = {
        "input": numbers(x),
        "logits": numbers(logits),
        "features": None if features is None else numbers(features),
        "loss": loss.item(),
        "gradients": {n: p.grad.norm().item() for n, p in model.named_parameters()},
    }
    (HERE / (name + ".json")).write_text(json.dumps(expected, indent=1) + "\n")


torch.manual_seed(0)
images = torch.randn(3, 2, 6, 6)
base = settle(WithFeatures())
features = base.features(images)
write("scripted", base, torch.jit.script(base), images, features)
plain = Plain()
plain.load_state_dict(base.state_dict())
plain.eval()
write("traced", plain, torch.jit.trace(plain, images), images, features)
write("plain", plain, torch.jit.script(plain), images, features)
pair = Pair()
pair.load_state_dict(base.state_dict())
pair.eval()
write("pair", pair, torch.jit.trace(pair, images), images, features)
softmax = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 5), nn.LogSoftmax(1)).eval()
rows = torch.randn(4, 3)
write("softmax", softmax, torch.jit.script(softmax), rows, softmax[:2](rows))
mlp = NormMlp().eval()
write("headless", mlp, torch.jit.script(mlp), torch.randn(3, 3), None)
save("frozen", torch.jit.freeze(torch.jit.script(plain)))
torch.save(plain.state_dict(), str(HERE / "state_dict.pt"))
