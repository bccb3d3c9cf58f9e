"""Pictures with and without seams, many at once: grey [N, 512, 512] in 0..1, all from a generator."""

import math

import torch

SIZE = 512


def generator(seed):
    return torch.Generator().manual_seed(seed)


def grain(n, levels, g):
    return torch.randn(n, SIZE, SIZE, generator=g) * (levels / 255)


def blurred(x, sigma):
    reach = math.ceil(4 * sigma)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1).float() ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    x = torch.nn.functional.pad(x[:, None], (reach,) * 4, mode="reflect")
    x = torch.nn.functional.conv2d(x, kernel.view(1, 1, 1, -1))
    return torch.nn.functional.conv2d(x, kernel.view(1, 1, -1, 1))[:, 0]


def smooth(n, g):
    """Slow waves and ramps with grain of 2/255."""
    y, x = torch.meshgrid(torch.linspace(0, 1, SIZE), torch.linspace(0, 1, SIZE), indexing="ij")
    p = torch.rand(5, n, 1, 1, generator=g)
    waves = 0.15 * torch.sin(2 * math.pi * (2 * p[0] * x + 2 * p[1] * y + p[2]))
    return 0.5 + waves + 0.2 * (p[3] - 0.5) * x + 0.2 * (p[4] - 0.5) * y + grain(n, 2, g)


def texture(n, g):
    """Correlated noise of sd 10/255, white noise blurred by a sigma of 1 to 1.5."""
    parts = [blurred(torch.randn(math.ceil(n / 5), SIZE, SIZE, generator=g), 1 + 0.125 * i) for i in range(5)]
    parts = [part / part.std() for part in parts]
    return 0.5 + torch.cat(parts)[:n] * (10 / 255)


def soft_edges(n, g):
    """Four edges each, 10 to 90 % over 6 to 30 px, 26 to 128 levels, anywhere; in half of the pictures one lies along a boundary."""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    pictures = []
    for index in range(n):
        picture = torch.full((SIZE, SIZE), 0.5)
        for edge in range(4):
            turn, width, height, at_x, at_y, sign = torch.rand(6, generator=g).tolist()
            distance = (x - at_x * SIZE) * math.cos(2 * math.pi * turn) + (y - at_y * SIZE) * math.sin(2 * math.pi * turn)
            if edge == 0 and index % 4 == 0:
                distance = x - 256 - 6 * (at_x - 0.5)
            if edge == 0 and index % 4 == 2:
                distance = y - 256 - 6 * (at_x - 0.5) + 0.1 * (at_y - 0.5) * (x - 256)
            height = (0.1 + 0.4 * height) * (1 if sign > 0.5 else -1)
            picture = picture + height * 0.5 * (1 + torch.erf(distance / ((6 + 24 * width) / 2.5631 * math.sqrt(2))))
        pictures.append(picture)
    return torch.stack(pictures) + grain(n, 1, g)


def hard_edge(n, g):
    """Smooth, with an edge of 38 to 140 levels, one pixel wide, exactly on the vertical boundary."""
    picture = smooth(n, g)
    picture[:, :, 256:] += 0.15 + 0.4 * torch.rand(n, 1, 1, generator=g)
    return picture


def stepped(picture, levels):
    """The upper right tile is lighter, cut hard at 256."""
    picture = picture.clone()
    picture[:, :256, 256:] += levels / 255
    return picture


def shifted(picture, by):
    """The upper right tile is shifted to the right."""
    out = picture.clone()
    out[:, :256, 256:] = picture[:, :256, 256 - by : -by]
    return out


def band_blurred(picture, sigma, width):
    """A vertical band in the middle is blurred."""
    out = picture.clone()
    band = slice(256 - width // 2, 256 + width // 2)
    reach = 8 * sigma
    out[:, :, band] = blurred(picture[:, :, band.start - reach : band.stop + reach], sigma)[:, :, reach:-reach]
    return out


def averaged(picture, levels):
    """The right tiles are lighter, and the overlap of 64 px is the mean of both."""
    ramp = torch.zeros(SIZE)
    ramp[224:288], ramp[288:] = 0.5, 1.0
    return picture + ramp * (levels / 255)


def feathered(picture, levels):
    """The right tiles are lighter, feathered by a Hann ramp over the overlap of 64 px."""
    ramp = torch.zeros(SIZE)
    ramp[224:288], ramp[288:] = torch.sin((torch.arange(64) + 0.5) / 64 * (math.pi / 2)).square(), 1.0
    return picture + ramp * (levels / 255)


def switched_texture(n, g):
    """What upscaling networks make of grain: texture that is there or is not, in long patches, on a smooth ground."""
    coarse = blurred(torch.randn(n, SIZE, SIZE // 8, generator=g), 6).repeat_interleave(8, 2)
    coarse = blurred(coarse, 4)
    patches = blurred((coarse > coarse.median()).float(), 1)
    patches[::2] = patches[::2].transpose(1, 2)
    fine = blurred(torch.randn(n, SIZE, SIZE, generator=g), 1.2)
    return 0.5 + patches * fine / fine.std() * (16 / 255) + grain(n, 0.3, g)


def drawn_edges(n, g):
    """What upscaling networks make of edges: lines and bars with sides of 2 px, upright or level, nearly straight, at any place."""
    at = torch.arange(SIZE) + 0.5
    pictures = []
    for _ in range(n):
        picture = torch.full((SIZE, SIZE), 0.5)
        for bar in range(24):
            place, width, height, tilt, bend, phase = torch.rand(6, generator=g).tolist()
            middle = place * SIZE + 6 * (tilt - 0.5) * (at / SIZE - 0.5) + 1.5 * bend * torch.sin(at / 40 + 6 * phase)
            half = 1 + 12 * width**2
            away = (at[None, :] - middle[:, None]).abs() - half  # rows, columns
            drawn = (height - 0.5) * 0.4 * 0.5 * (1 - torch.erf(away / 1.1))
            picture = picture + (drawn if bar % 2 else drawn.T)
        pictures.append(picture)
    return torch.stack(pictures) + grain(n, 0.5, g)
