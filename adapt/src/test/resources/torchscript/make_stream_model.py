#!/usr/bin/env python3
"""Makes stream_model.pt and stream_model.json beside this file (made with PyTorch 2.13).

A small network with batch norm learns ten patterns of 8 x 8 pixels. The JSON holds three batches of
a stream that is fainter and brighter than what it learned, their labels, and what Python says to
them: the source model's logits, those on batch statistics, and those of TENT (SGD, lr 0.05,
momentum 0.9, one step a batch, logits from before the step) with the scales it ends with.
"""
import json
import pathlib

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent
torch.manual_seed(3)
torch.set_num_threads(1)

PATTERNS = torch.rand(10, 1, 8, 8)


def draw(rows):
    labels = torch.randint(0, 10, (rows,))
    return PATTERNS[labels] + 0.35 * torch.randn(rows, 1, 8, 8), labels


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(12 * 16, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(self.drop(torch.flatten(x, 1)))


net = Net()
optimiser = torch.optim.Adam(net.parameters(), 3e-3)
for _ in range(300):
    x, y = draw(64)
    loss = nn.functional.cross_entropy(net(x), y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
net.eval()
torch.jit.script(net).save(str(HERE / "stream_model.pt"))

batches = [draw(40) for _ in range(3)]
stream = [0.3 * x + 0.8 for x, _ in batches]
result = {"x": [s.flatten().tolist() for s in stream], "y": [y.tolist() for _, y in batches]}
with torch.no_grad():
    result["source"] = [net(s).flatten().tolist() for s in stream]

for module in net.modules():
    if isinstance(module, nn.BatchNorm2d):
        module.track_running_stats = False
        module.running_mean = None
        module.running_var = None
with torch.no_grad():
    result["batch_statistics"] = [net(s).flatten().tolist() for s in stream]

net.requires_grad_(False)
affine = [net.bn1.weight, net.bn1.bias, net.bn2.weight, net.bn2.bias]
for p in affine:
    p.requires_grad_(True)
optimiser = torch.optim.SGD(affine, 0.05, momentum=0.9)
result["tent"] = []
for s in stream:
    z = net(s)
    entropy = -(z.softmax(1) * z.log_softmax(1)).sum(1).mean()
    optimiser.zero_grad()
    entropy.backward()
    optimiser.step()
    result["tent"].append(z.detach().flatten().tolist())
result["scales"] = net.bn2.weight.tolist()
result["accuracy"] = {
    k: sum((torch.tensor(z).view(40, 10).argmax(1) == y).sum().item() for z, (_, y) in zip(result[k], batches)) / 120
    for k in ("source", "batch_statistics", "tent")
}


def rounded(v):
    if isinstance(v, list):
        return [rounded(i) for i in v]
    return round(v, 6) if isinstance(v, float) else v


for key in ("x", "source", "batch_statistics", "tent", "scales"):
    result[key] = rounded(result[key])
(HERE / "stream_model.json").write_text(json.dumps(result))
print(result["accuracy"])
