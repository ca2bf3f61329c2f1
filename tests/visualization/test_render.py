"""Shaded meshes: coverage against analytic areas, blending, and light from where it should come."""

from __future__ import annotations

import numpy as np
import pytest

from hrtk.visualization import render
from hrtk.visualization.render import draw_mesh, project_points, vertex_colors

trimesh = pytest.importorskip('trimesh', reason='trimesh makes the spheres')


def sphere(
    centre: tuple[float, float, float], radius: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return np.asarray(ball.vertices) + centre, np.asarray(ball.faces)


def square(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """At z = 1, so that with focal 1 and centre 0 its corners are pixels; facing the viewer."""
    vertices = np.array([[low, low, 1.0], [high, low, 1], [high, high, 1], [low, high, 1]])
    return vertices, np.array([[0, 2, 1], [0, 3, 2]])


def test_sphere_has_the_area_and_place_of_its_outline() -> None:
    focal, distance, radius = 400.0, 8.0, 1.0
    vertices, faces = sphere((0.5, -0.3, distance), radius)
    image = np.zeros((200, 220, 3), np.uint8)
    drawn = draw_mesh(image, vertices, faces, focal, (100.0, 90.0), color=(1, 1, 1)).max(2) > 0
    y, x = np.nonzero(drawn)
    # A pixel counts if any of its four samples is covered, which widens the outline by about a quarter pixel.
    outline = radius * focal / np.sqrt(distance**2 - radius**2) + 0.25
    assert drawn.sum() == pytest.approx(np.pi * outline**2, rel=0.02)
    assert (x.mean(), y.mean()) == pytest.approx(
        (100 + 0.5 * focal / distance, 90 - 0.3 * focal / distance), abs=0.7
    )


def test_edges_are_blended_by_coverage() -> None:
    image = np.zeros((12, 12, 3), np.uint8)
    vertices, faces = square(2.0, 7.0)
    drawn = draw_mesh(image, vertices, faces, 1.0, (0.0, 0.0)).astype(float)[..., 2]
    inside = drawn[4, 4]
    assert inside > 60
    # The border runs through the centres of pixels 2 and 7: half a pixel is covered there, a quarter in the corners.
    for place, share in {
        (4, 2): 0.5,
        (4, 7): 0.5,
        (2, 4): 0.5,
        (2, 2): 0.25,
        (7, 7): 0.25,
        (4, 1): 0,
        (8, 4): 0,
        (4, 5): 1,
    }.items():
        assert drawn[place] == pytest.approx(share * inside, abs=2), place


def test_alpha_blends_with_the_picture() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    kept = image.copy()
    vertices, faces = sphere((0, 0, 6))
    opaque, half, none = (
        draw_mesh(image, vertices, faces, 80.0, alpha=alpha) for alpha in (1.0, 0.5, 0.0)
    )
    np.testing.assert_array_equal(none, image)
    np.testing.assert_array_equal(image, kept)
    np.testing.assert_allclose(half, (opaque.astype(float) + image) / 2, atol=1)
    assert np.abs(opaque.astype(int) - image).max() > 20


def test_light_comes_from_the_upper_left() -> None:
    vertices, faces = sphere((0, 0, 6))
    drawn = draw_mesh(np.zeros((101, 101, 3), np.uint8), vertices, faces, 250.0).mean(2)
    assert drawn[35, 35] > drawn[50, 50] > drawn[70, 60]
    assert drawn[35, 35] > drawn[35, 65]


def test_vertices_may_have_their_own_colours() -> None:
    vertices, faces = sphere((0, 0, 6))
    colors = np.where(vertices[:, :1] < 0, (1.0, 0, 0), (0, 0, 1.0))
    drawn = draw_mesh(
        np.zeros((101, 101, 3), np.uint8), vertices, faces, 250.0, color=colors
    ).astype(int)
    assert drawn[50, 30, 0] > drawn[50, 30, 2] + 50 and drawn[50, 70, 2] > drawn[50, 70, 0] + 50


def test_picture_is_kept_where_there_is_no_mesh() -> None:
    image = np.full((50, 60, 3), 77, np.uint8)
    for centre in [(90, 0, 6), (0, -90, 6), (0, 0, -6)]:  # right of it, above it, behind the camera
        np.testing.assert_array_equal(draw_mesh(image, *sphere(centre), 100.0), image)
    drawn = draw_mesh(image, *sphere((1.8, 0, 6)), 100.0)  # cut by the border
    assert (drawn[:, -1] != 77).any() and (drawn[:, :25] == 77).all()


def test_projection_is_a_pinhole() -> None:
    points = project_points(
        np.array([[1, -2, 4.0], [0, 0, 1], [1, 1, 0], [1, 1, -2]]), 100.0, (10.0, 20.0)
    )
    np.testing.assert_allclose(points[:2], [[35, -30, 4], [10, 20, 1]])
    assert np.isnan(points[2:]).all()


def lit(normal, position, color):
    """The model of light in float64, written out: ambient by height, three Lambertian lights, Blinn's half vectors."""
    n = np.array(normal, np.float64)
    eye = -np.array(position, np.float64) / np.linalg.norm(position)
    share_above = (1 - n[1]) / 2
    diffuse = share_above * render.AMBIENT_ABOVE + (1 - share_above) * render.AMBIENT_BELOW
    gloss = 0.0
    for direction, strength in render.LIGHTS:
        light = np.array(direction) / np.sqrt(sum(value * value for value in direction))
        half = (eye + light) / np.linalg.norm(eye + light)
        diffuse += strength * max(0.0, float(n @ light))
        gloss += render.GLOSS * strength * max(0.0, float(n @ half)) ** render.GLOSS_EXPONENT
    linear = np.array(color, np.float64) ** 2.2 * diffuse + gloss
    return np.minimum(linear, 1.0) ** (1 / 2.2)


def test_colours_of_vertices() -> None:
    centre = np.array([0.4, -0.2, 5.0])
    vertices, faces = sphere((0.4, -0.2, 5.0))
    one = np.array([0.7, 0.5, 0.2])
    several = np.random.default_rng(0).uniform(0, 1, vertices.shape)
    for color, of_vertices in ((one, np.tile(one, (len(vertices), 1))), (several, several)):
        found = vertex_colors(vertices, faces, color)
        expected = [lit(vertex - centre, vertex, own) for vertex, own in zip(vertices, of_vertices)]
        # The normals of the mesh differ from those of the sphere by up to half a degree.
        np.testing.assert_allclose(found, expected, atol=0.01)
        assert np.abs(found - expected).mean() < 0.001


def test_shading_per_vertex_differs_little_from_shading_per_pixel() -> None:
    vertices, faces = sphere((0.0, 0.0, 6.0))
    drawn = draw_mesh(np.zeros((101, 101, 3), np.uint8), vertices, faces, 250.0).astype(float)
    worst = 0.0
    for y in range(18, 83, 5):
        for x in range(18, 83, 5):
            ray = np.array([(x - 50) / 250, (y - 50) / 250, 1.0])
            # |t ray - (0, 0, 6)| = 1, the nearer solution.
            a, b, c = ray @ ray, -2 * 6 * ray[2], 35.0
            if b * b - 4 * a * c < 0.4 * a:
                continue
            point = ray * (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
            expected = 255 * lit(point - (0, 0, 6), point, render.BLUE)
            worst = max(worst, np.abs(drawn[y, x] - expected).max())
    assert 0 < worst < 4
