"""Writes files as the first code did, and what it computes with the same weights.

A program, run by itself: ``python official_writer.py FOLDER``. Its modules of the
first code's names live in this process alone. Widths are small; the names and the order
of all modules are those of the published files.
"""

import argparse
import copy
import itertools
import sys
import types
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

SEEN, FUTURE, BATCH, G, Z, RNN, WIDTH = 3, 2, 2, 5, 2, 6, 2
FORMS = ("0.3.1", "0.4", "1.x", "zip", "states")
MODELS = {  # backbone, size, channels, learned prior, last_frame_skip
    "dcgan-lp": ("dcgan", 64, 1, True, False),
    "dcgan-128-fp": ("dcgan", 128, 1, False, False),
    "vgg-lp": ("vgg", 64, 3, True, True),
    "vgg-128-fp": ("vgg", 128, 1, False, False),
}


def published(name, **classes):
    """Let classes be those of a module of the first code."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    for key, cls in classes.items():
        cls.__module__, cls.__qualname__, cls.__name__ = name, key, key
        setattr(module, key, cls)


def norm(layer, n, activation):
    return [layer, nn.BatchNorm2d(n), activation]


class Block(nn.Module):
    """A convolution, BatchNorm, LeakyReLU: named "main" there."""

    def __init__(self, layer, n):
        super().__init__()
        self.main = nn.Sequential(*norm(layer, n, nn.LeakyReLU(0.2, inplace=True)))

    def forward(self, x):
        return self.main(x)


class Conv(Block):
    pass


class UpConv(Block):
    pass


class Layer(Block):
    pass


class Encoder(nn.Module):
    def __init__(self, stages, end, pool):
        super().__init__()
        self.dim = G
        for i, stage in enumerate(stages):
            setattr(self, f"c{i + 1}", stage)
        setattr(self, f"c{len(stages) + 1}", end)
        if pool:
            self.mp = nn.MaxPool2d(kernel_size=2, stride=2, padding=0)
        self.count = len(stages)

    def forward(self, x):
        skips = []
        for i in range(self.count):
            x = self.mp(x) if i and hasattr(self, "mp") else x
            x = getattr(self, f"c{i + 1}")(x)
            skips.append(x)
        x = self.mp(x) if hasattr(self, "mp") else x
        return getattr(self, f"c{self.count + 1}")(x).view(-1, self.dim), skips


class Decoder(nn.Module):
    def __init__(self, start, stages, up):
        super().__init__()
        self.dim = G
        self.upc1 = start
        for i, stage in enumerate(stages):
            setattr(self, f"upc{i + 2}", stage)
        if up:
            self.up = nn.UpsamplingNearest2d(scale_factor=2)
        self.count = len(stages)

    def forward(self, pair):
        g, skips = pair
        d = self.upc1(g.view(-1, self.dim, 1, 1))
        for i in range(self.count):
            d = self.up(d) if hasattr(self, "up") else d
            d = getattr(self, f"upc{i + 2}")(torch.cat([d, skips[-1 - i]], 1))
        return d


class Cells(nn.Module):
    def __init__(self, size, layers):
        super().__init__()
        self.n_layers, self.batch_size = layers, BATCH
        self.embed = nn.Linear(size, RNN)
        self.lstm = nn.ModuleList([nn.LSTMCell(RNN, RNN) for _ in range(layers)])

    def start(self):
        zeros = self.embed.weight.detach().new_zeros(BATCH, RNN)
        self.hidden = [(zeros, zeros) for _ in range(self.n_layers)]

    def run(self, x):
        x = self.embed(x)
        for i, cell in enumerate(self.lstm):
            self.hidden[i] = cell(x, self.hidden[i])
            x = self.hidden[i][0]
        return x


class Predictor(Cells):
    def __init__(self):
        super().__init__(G + Z, 2)
        self.output = nn.Sequential(nn.Linear(RNN, G), nn.Tanh())
        self.start()

    def forward(self, x):
        return self.output(self.run(x))


class Gaussian(Cells):
    def __init__(self, layers):
        super().__init__(G, layers)
        self.mu_net, self.logvar_net = nn.Linear(RNN, Z), nn.Linear(RNN, Z)
        self.start()

    def forward(self, x):
        x = self.run(x)
        return self.mu_net(x), self.logvar_net(x)


def networks(backbone, size, channels):
    multiples = [1, 2, 4, 8] if size == 64 else [1, 2, 4, 8, 8]
    widths = [WIDTH * n for n in multiples]
    end = nn.Sequential(*norm(nn.Conv2d(widths[-1], G, 4, 1, 0), G, nn.Tanh()))
    start = nn.Sequential(
        *norm(
            nn.ConvTranspose2d(G, widths[-1], 4, 1, 0),
            widths[-1],
            nn.LeakyReLU(0.2, inplace=True),
        )
    )
    down, before = [], channels
    counts = [2, 2, 3, 3, 3]
    for i, n in enumerate(widths):
        if backbone == "dcgan":
            down.append(Conv(nn.Conv2d(before, n, 4, 2, 1), n))
        else:
            sizes = [before] + [n] * counts[i]
            pairs = itertools.pairwise(sizes)
            stage = [Layer(nn.Conv2d(a, b, 3, 1, 1), b) for a, b in pairs]
            down.append(nn.Sequential(*stage))
        before = n
    up = []
    for i in reversed(range(len(widths))):
        n, after = widths[i], widths[max(i - 1, 0)]
        if backbone == "dcgan" and i:
            up.append(UpConv(nn.ConvTranspose2d(2 * n, after, 4, 2, 1), after))
        elif backbone == "dcgan":
            last = nn.ConvTranspose2d(2 * n, channels, 4, 2, 1)
            up.append(nn.Sequential(last, nn.Sigmoid()))
        elif i:
            sizes = [2 * n] + [n] * (counts[i] - 1) + [after]
            pairs = itertools.pairwise(sizes)
            stage = [Layer(nn.Conv2d(a, b, 3, 1, 1), b) for a, b in pairs]
            up.append(nn.Sequential(*stage))
        else:
            first = Layer(nn.Conv2d(2 * n, n, 3, 1, 1), n)
            last = nn.ConvTranspose2d(n, channels, 3, 1, 1)
            up.append(nn.Sequential(first, last, nn.Sigmoid()))
    vgg = backbone == "vgg"
    return Encoder(down, end, vgg), Decoder(start, up, vgg)


def make(name):
    backbone, size, channels, learned, last_frame_skip = MODELS[name]
    sizes = {"encoder": Encoder, "decoder": Decoder}
    layers = {"dcgan_conv": Conv, "dcgan_upconv": UpConv}
    published("models")
    published("models.lstm", lstm=Predictor, gaussian_lstm=Gaussian)
    layers = layers if backbone == "dcgan" else {"vgg_layer": Layer}
    published(f"models.{backbone}_{size}", **sizes, **layers)
    encoder, decoder = networks(backbone, size, channels)
    content = {
        "encoder": encoder,
        "decoder": decoder,
        "frame_predictor": Predictor(),
        "posterior": Gaussian(2),
    }
    if learned:
        content["prior"] = Gaussian(1)
    for module in content.values():
        for p in module.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
        for m in module.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.1)
                m.running_var.uniform_(0.8, 1.2)
    content["opt"] = argparse.Namespace(
        model=backbone,
        image_width=size,
        n_past=SEEN,
        beta=1e-3,
        last_frame_skip=last_frame_skip,
        optimizer=torch.optim.Adam,
        name="caf\xe9",
    )
    return content


def answers(content):
    """What train() and make_gifs() compute with these weights, in float64."""
    content = copy.deepcopy(content)
    encoder, decoder, predictor, posterior = list(content.values())[:4]
    prior, opt = content.get("prior"), content["opt"]
    modules = [m for m in content.values() if isinstance(m, nn.Module)]
    x = torch.rand(BATCH, SEEN + FUTURE, *_shape(content)).double()
    noise = torch.randn(BATCH, SEEN + FUTURE - 1, Z).double()
    given = {"frames": x, "noise": noise}
    for m in modules:
        m.double().eval()
    given["h"], skips = encoder(x[:, 0])
    given["decoded"] = decoder([given["h"].flip(1), skips])
    for m in modules:
        m.train(prior is not None)
        if isinstance(m, Cells):
            m.start()
    frame, futures = x[:, 0], []
    for t in range(1, SEEN + FUTURE):
        h, own = encoder(frame)
        skip = own if opt.last_frame_skip or t < SEEN else skip  # noqa: F821
        g = predictor(torch.cat([h, noise[:, t - 1]], 1))
        frame = x[:, t] if t < SEEN else decoder([g, skip])
        futures.append(frame)
    given["futures"] = torch.stack(futures, 1)
    for m in modules:
        m.train()
        if isinstance(m, Cells):
            m.start()
    mse = kl = 0.0
    for t in range(1, SEEN + FUTURE):
        h, own = encoder(x[:, t - 1])
        skip = own if opt.last_frame_skip or t < SEEN else skip
        mu, logvar = posterior(encoder(x[:, t])[0])
        z = mu + noise[:, t - 1] * (0.5 * logvar).exp()
        mu_p, logvar_p = (torch.zeros_like(mu),) * 2 if prior is None else prior(h)
        g = predictor(torch.cat([h, z], 1))
        mse = mse + F.mse_loss(decoder([g, skip]), x[:, t])
        ratio = (logvar.exp() + (mu - mu_p) ** 2) / logvar_p.exp()
        kl = kl + 0.5 * (logvar_p - logvar + ratio - 1).sum() / BATCH
    return {**given, "mse": mse, "kl": kl}


def _shape(content):
    opt = content["opt"]
    return 3 if opt.last_frame_skip else 1, opt.image_width, opt.image_width


class _Variable:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        from torch.autograd.variable import Variable

        return Variable, (self.value,), (False, False, OrderedDict())


class _Backend:
    def __reduce__(self):
        return sys.modules["torch.nn.backends.thnn"]._get_thnn_function_backend, ()


def _old_tensor(self, protocol):
    storage = torch.storage.TypedStorage(
        wrap_storage=self.untyped_storage(), dtype=self.dtype, _internal=True
    )
    given = storage, self.storage_offset(), tuple(self.size()), self.stride()
    return torch._utils._rebuild_tensor, given


def _parameter_031(self, protocol):
    return nn.Parameter, (self.data,), (self.requires_grad, False, OrderedDict())


def _parameter_04(self, protocol):
    return nn.Parameter, (self.data, self.requires_grad)


def write(content, form, path):
    """Pickle as a version of PyTorch did; only for the time of the call."""
    if form == "states":
        states = {k: m.state_dict() for k, m in content.items() if k != "opt"}
        torch.save({**states, "opt": content["opt"]}, path)
        return
    content = copy.deepcopy(content)
    if form in ("0.3.1", "0.4"):
        for module in content.values():
            for m in module.modules() if isinstance(module, nn.Module) else ():
                vars(m)["_backend"] = _Backend()
                m._buffers.pop("num_batches_tracked", None)
                if isinstance(m, Cells) and form == "0.3.1":
                    m.hidden = [tuple(map(_Variable, pair)) for pair in m.hidden]
    kept = nn.Parameter.__reduce_ex__, torch.Tensor.__reduce_ex__
    if form == "0.4":
        nn.Parameter.__reduce_ex__ = _parameter_04
    elif form == "0.3.1":
        nn.Parameter.__reduce_ex__ = _parameter_031
        torch.Tensor.__reduce_ex__ = _old_tensor
    try:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    finally:
        nn.Parameter.__reduce_ex__, torch.Tensor.__reduce_ex__ = kept


def main(folder):
    thnn = types.ModuleType("torch.nn.backends.thnn")

    def _get_thnn_function_backend():
        return None

    _get_thnn_function_backend.__module__ = thnn.__name__
    _get_thnn_function_backend.__qualname__ = "_get_thnn_function_backend"
    thnn._get_thnn_function_backend = _get_thnn_function_backend
    sys.modules["torch.nn.backends"] = types.ModuleType("torch.nn.backends")
    sys.modules[thnn.__name__] = thnn
    source = (["class lstm:  # the source that PyTorch keeps\n"], 0, "models/lstm.py")
    torch.serialization.get_source_lines_and_file = lambda cls: source
    for number, name in enumerate(MODELS):
        torch.manual_seed(number)
        content = make(name)
        for form in FORMS:
            write(content, form, folder / f"{name}-{form}.pth")
        with torch.no_grad():
            torch.save(answers(content), folder / f"{name}.answers")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
