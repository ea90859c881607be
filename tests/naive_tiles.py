"""Only-BG-T done the slow way, for tests to compare with."""

from __future__ import annotations


def naive_tiles(image, box):
    """Only-BG-T, one pixel at a time: margins, the larger pair of strips, the larger strip, tiled from the origin."""
    height, width = len(image), len(image[0])
    left, top, right, bottom = box
    margins = {"left": left, "right": width - right, "above": top, "below": height - bottom}
    if max(margins.values()) <= 0:
        return None
    columns = max(margins["left"], margins["right"]) * height
    rows = max(margins["above"], margins["below"]) * width
    if columns > rows:
        side = "left" if margins["left"] > margins["right"] else "right"
    else:
        side = "above" if margins["above"] > margins["below"] else "below"
    tile = []
    for y in range(height):
        for x in range(width):
            belongs = {"left": x < left, "right": x >= right, "above": y < top, "below": y >= bottom}
            if belongs[side]:
                tile.append((x, y))
    first_x, first_y = min(x for x, _ in tile), min(y for _, y in tile)
    tile_width = max(x for x, _ in tile) - first_x + 1
    tile_height = max(y for _, y in tile) - first_y + 1
    result = [[list(pixel) for pixel in row] for row in image]
    for y in range(height):
        for x in range(width):
            if left <= x < right and top <= y < bottom:
                result[y][x] = list(image[first_y + y % tile_height][first_x + x % tile_width])
    return result
