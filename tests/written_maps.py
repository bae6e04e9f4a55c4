"""Maps of a given probability, written as `predict` writes them."""

from pathlib import Path

from glacier_ml.products.maps import MapWriter, staged


def write_map(scene, probability, threshold, output, tags=None, encoding="float32", picture=True):
    """Write a scene's map; gives its files."""
    known = {"scene_digest": scene.digest, "scene_date": scene.provenance.get("date", ""), **(tags or {})}
    with (
        staged(Path(output)) as partial,
        MapWriter(partial, scene.name, scene.grid, threshold, encoding) as writer,
    ):
        writer.add(scene, probability[None])
        return writer.finish(Path(output), known, picture)
