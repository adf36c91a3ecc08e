"""The models that `compare.py` compares: networks of random weights, with inputs."""

import timm
import torch
import torchvision
from torch import nn
from transformers import GPT2Config, GPT2Model
from transformers.models.gpt2.modeling_gpt2 import GPT2Block


class Net(nn.Module):
    """A module with a loss, and what its exporters are asked for."""

    loss = "cross_entropy"
    # Whether the second exporter may simplify what it writes: it folds batch norm into convolutions, whose parameters then
    # have no names in the module.
    optimize = True
    # Whether the first exporter computes what depends on parameters alone, as it does unless told otherwise: the weights of
    # recurrent layers are put in another order, and then have no names in the module.
    fold = False
    # The exporters that can't write it.
    without = ()
    # Whether it gives probabilities rather than logits.
    distribution = False

    def __init__(self, inner=None, **settings):
        super().__init__()
        if inner is not None:
            self.inner = inner
        for key, value in settings.items():
            setattr(self, key, value)

    def forward(self, x):
        return self.inner(x)


def randomised(module):
    """Running statistics, scales and offsets that aren't 0 and 1: exporters make one parameter of those that are equal."""
    for m in module.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm1d)):
            nn.init.normal_(m.running_mean, std=0.1)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() == 1:
                p += 0.1 * torch.rand_like(p)
    return module


def mlp():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10))
    return Net(net), (torch.randn(4, 1, 8, 8),)


class Mnist(Net):
    """Convolutions, batch norm, pooling and dropout."""

    optimize = False

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.drop = nn.Conv2d(8, 16, 3), nn.Dropout(0.25)
        self.fc1, self.fc2 = nn.Linear(16 * 6 * 6, 32), nn.Linear(32, 10)

    def forward(self, x):
        h = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        h = torch.max_pool2d(torch.relu(self.conv2(h)), 2)
        return self.fc2(torch.relu(self.fc1(torch.flatten(self.drop(h), 1))))


def mnist():
    return Mnist(), (torch.randn(4, 1, 28, 28),)


def lenet():
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.LeakyReLU(0.1),
        nn.AvgPool2d(3, 2, 1), nn.Flatten(), nn.Linear(256, 84), nn.ELU(), nn.Linear(84, 10), nn.Softmax(-1),
    )
    return Net(net, distribution=True), (torch.randn(4, 1, 28, 28),)


def resnet18():
    return Net(torchvision.models.resnet18(), optimize=False), (torch.randn(2, 3, 64, 64),)


def resnet18_folded():
    return Net(torchvision.models.resnet18(), without=("torchscript",)), (torch.randn(2, 3, 64, 64),)


def mobilenet():
    return Net(torchvision.models.mobilenet_v2(num_classes=10), optimize=False), (torch.randn(2, 3, 64, 64),)


def efficientnet():
    net = timm.create_model("efficientnet_b0", num_classes=10)
    return Net(net, optimize=False), (torch.randn(2, 3, 64, 64),)


def convnext():
    return Net(timm.create_model("convnext_atto", num_classes=10)), (torch.randn(2, 3, 64, 64),)


def vgg():
    return Net(torchvision.models.vgg11(num_classes=10), optimize=False), (torch.randn(2, 3, 64, 64),)


def squeezenet():
    return Net(torchvision.models.squeezenet1_1(num_classes=10)), (torch.randn(2, 3, 65, 65),)


def vit():
    net = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=3, num_classes=10)
    return Net(net), (torch.randn(2, 3, 64, 64),)


class Gpt2Block(Net):
    """A block of GPT-2, behind embeddings and in front of a head with their weights."""

    optimize = False

    def __init__(self):
        super().__init__()
        config = GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_head=4, n_layer=1)
        config._attn_implementation = "eager"
        self.tokens, self.places = nn.Embedding(50, 32), nn.Embedding(16, 32)
        self.block, self.norm = GPT2Block(config), nn.LayerNorm(32)
        self.register_buffer("mask", torch.full((16, 16), -1e9).triu(1)[None, None])

    def forward(self, ids):
        h = self.tokens(ids) + self.places(torch.arange(16))
        h = self.block(h, attention_mask=self.mask)
        h = h[0] if isinstance(h, tuple) else h
        return self.norm(h) @ self.tokens.weight.T


def gpt2_block():
    return Gpt2Block(), (torch.randint(0, 50, (2, 16)),)


def gpt2():
    net = GPT2Model(GPT2Config(vocab_size=50, n_positions=32, n_embd=32, n_layer=2, n_head=2))

    class Whole(Net):
        without = ("torchscript",)

        def forward(self, ids):
            return self.inner(input_ids=ids, use_cache=False).last_hidden_state

    return Whole(net, loss="mse"), (torch.randint(0, 50, (2, 16)),)


def encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu", norm_first=True)
    return Net(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), loss="mse"), (torch.randn(2, 6, 16),)


class Recurrent(Net):
    """A recurrent layer, and a head for its last output."""

    fold = True

    def __init__(self, layer, **settings):
        super().__init__(**settings)
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), 5)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


def lstm():
    return Recurrent(nn.LSTM(6, 8, num_layers=2, bidirectional=True, batch_first=True)), (torch.randn(3, 5, 6),)


def gru():
    return Recurrent(nn.GRU(6, 8, batch_first=True)), (torch.randn(3, 5, 6),)


class Autoencoder(Net):
    """Convolutions down and transposed ones up."""

    loss = "mse"

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.SiLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.Softplus())
        self.up = nn.Sequential(
            nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1), nn.Hardswish(), nn.ConvTranspose2d(8, 3, 4, 2, 1)
        )

    def forward(self, x):
        return self.up(self.down(x))


def autoencoder():
    return Autoencoder(), (torch.randn(2, 3, 16, 16),)


class Unet(Net):
    """Skip connections past poolings, images made larger again, and group norm."""

    def __init__(self):
        super().__init__()
        self.a, self.norm_a = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.b, self.norm_b = nn.Conv2d(8, 16, 3, padding=1, dilation=1), nn.InstanceNorm2d(16, affine=True)
        self.c, self.d = nn.Conv2d(24, 8, 3, padding=2, dilation=2), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        a = torch.relu(self.norm_a(self.a(x)))
        b = torch.relu(self.norm_b(self.b(torch.max_pool2d(a, 3, 2, 1))))
        up = nn.functional.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
        return self.d(nn.functional.pixel_shuffle(
            nn.functional.interpolate(torch.tanh(self.c(torch.cat([a, up], 1))), scale_factor=2), 1))


def unet():
    return Unet(), (torch.randn(2, 3, 16, 16),)


MODELS = {f.__name__: f for f in [
    mlp, mnist, lenet, resnet18, resnet18_folded, mobilenet, efficientnet, convnext, vgg, squeezenet, vit, gpt2_block,
    gpt2, encoder, lstm, gru, autoencoder, unet,
]}
