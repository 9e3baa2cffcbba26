"""The cameras of the pushing world."""

import numpy as np

IMAGE_SIZE = 64
SIDE = 2 * IMAGE_SIZE  # rays per side: 2 x 2 of them are averaged to a pixel
_VIEWS = {  # position, point looked at, focal length in half images
    "aux1": ((0.0, -1.18, 1.10), (0.0, 0.05, 0.06), 2.5),
    "main": ((-1.0, -0.85, 1.05), (0.02, 0.02, 0.05), 2.35),
}
CAMERAS = tuple(_VIEWS)


class View:
    """A pinhole camera and its grid of unit rays.

    Parameters
    ----------
    rng : numpy.random.Generator
        Shifts the camera a little.
    camera : str
        One of `CAMERAS`.

    Attributes
    ----------
    eye : numpy.ndarray
        float32, shape ``(3,)``, bin units.
    rays : numpy.ndarray
        float32, shape ``(3, SIDE * SIDE)``, row by row.
    """

    def __init__(self, rng: np.random.Generator, camera: str) -> None:
        where, target, focal = _VIEWS[camera]
        eye = np.array(where) + rng.uniform(-0.03, 0.03, 3)
        ahead = np.array(target) + rng.uniform(-0.015, 0.015, 3) - eye
        ahead /= np.sqrt((ahead**2).sum())
        right = np.cross(ahead, (0.0, 0.0, 1.0))
        right /= np.sqrt((right**2).sum())
        axes = np.stack([right, np.cross(ahead, right), ahead])
        self.eye, self._axes = eye.astype(np.float32), axes.astype(np.float32)
        self._focal = np.float32(focal * SIDE / 2)
        place = (np.arange(SIDE, dtype=np.float32) + 0.5 - SIDE / 2) / self._focal
        across, down, forth = self._axes[:, :, None, None]
        rays = across * place[None, :] + down * place[:, None] + forth
        self.rays = (rays / np.sqrt((rays**2).sum(axis=0))).reshape(3, -1)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Column and row in rays, shape ``(2, ...)``, of points ``(3, ...)``."""
        x, y, z = (p - e for p, e in zip(points, self.eye, strict=True))
        seen = [a[0] * x + a[1] * y + a[2] * z for a in self._axes]
        scale = self._focal / np.maximum(seen[2], np.float32(1e-3))
        return np.stack([seen[0] * scale, seen[1] * scale]) + SIDE / 2

    def rectangles(self, corners: np.ndarray) -> np.ndarray:
        """Rays that a convex hull can cover in each frame.

        Parameters
        ----------
        corners : numpy.ndarray
            Points whose hull it is, shape ``(3, F, K)``, bin units.

        Returns
        -------
        numpy.ndarray
            Numbers of rays, shape ``(F, h, w)``: one size for all frames.
        """
        place = self.project(corners)
        low = np.clip(np.floor(place.min(axis=-1)) - 1, 0, SIDE).astype(int)
        high = np.clip(np.ceil(place.max(axis=-1)) + 1, 0, SIDE).astype(int)
        wide, tall = np.maximum((high - low).max(axis=-1), 0)
        column = np.minimum(low[0], SIDE - wide)[:, None, None] + np.arange(wide)
        row = np.minimum(low[1], SIDE - tall)[:, None, None] + np.arange(tall)[:, None]
        result: np.ndarray = row * SIDE + column
        return result
