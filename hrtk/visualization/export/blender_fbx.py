"""Runs inside Blender: reads a GLB of hrtk and writes it as FBX with Blender's own exporter.

Blender is GPL, so hrtk neither imports it nor depends on it: :mod:`hrtk.visualization.export.fbx` starts this file in a
process of its own, by ``blender --background --python blender_fbx.py -- in.glb out.fbx 30 120`` or, with the ``bpy``
wheel, by ``python blender_fbx.py in.glb out.fbx 30 120`` (frames per second, number of frames).
"""

import sys


def main(glb: str, fbx: str, fps: int, frames: int) -> None:
    """Converts one file.

    Args:
        glb: path of the file to read.
        fbx: path of the file to write.
        fps: frames per second, a whole number. Blender has a divisor for others, but then import and export of keys do
            not agree.
        frames: number of frames.
    """
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps = fps
    bpy.ops.import_scene.gltf(
        filepath=glb
    )  # keys are placed at time * fps, the first one at frame 0
    # The importer adds a ball that Blender draws for every bone; the exporter would write it as a mesh.
    for thing in list(bpy.data.objects):
        if thing.type == 'MESH' and all(
            modifier.type != 'ARMATURE' for modifier in thing.modifiers
        ):
            bpy.data.objects.remove(thing)
    scene.frame_start = 0
    scene.frame_end = frames - 1
    bpy.ops.export_scene.fbx(
        filepath=fbx,
        object_types={'ARMATURE', 'MESH', 'CAMERA', 'EMPTY'},
        add_leaf_bones=False,
        bake_anim=frames > 1,
        bake_anim_use_all_bones=True,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_simplify_factor=0.0,
    )


if __name__ == '__main__':
    given = sys.argv[1:]
    if '--' in given:  # behind it stand the arguments that are not Blender's
        given = given[given.index('--') + 1 :]
    main(given[0], given[1], int(given[2]), int(given[3]))
