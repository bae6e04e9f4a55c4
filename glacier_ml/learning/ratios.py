"""Division that says where nothing can be said."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ratio(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Part of a whole, element by element; NaN where the whole is 0: the share of nothing is undefined.

    Parameters
    ----------
    part, whole : array_like
        Of one shape, or shapes that broadcast.

    Returns
    -------
    ndarray of float64

    Examples
    --------
    >>> ratio([3, 0], [4, 0])
    array([0.75,  nan])
    """
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole != 0)
