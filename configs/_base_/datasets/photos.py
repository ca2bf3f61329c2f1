# Your own footage: a folder of images (or a video) and a json file of 2D keypoints (COCO, OpenPose or AlphaPose).
# Set both with --cfg-options dataset.images=... dataset.keypoints=..., or lay them out as below under HRTK_TEST_DATA.
dataset = dict(
    type='CocoKeypointsDataset',
    images='{{$HRTK_TEST_DATA:data}}/photos/yogait',
    keypoints='{{$HRTK_TEST_DATA:data}}/annotations/yogait_coco.json',
    source='annotated')
evaluator = dict(type='MeshEvaluator', protocol='open')
