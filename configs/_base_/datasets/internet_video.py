# A video from the internet and AlphaPose's json of it, as in DynaBOA's script for internet videos (3DHR-Co, section
# IV.E, uses the same): points below 0.3 are absent, the crop is as large as the person. There is no ground truth.
dataset = dict(
    type='VideoDataset', images='data/internet/clip.mp4', keypoints='data/internet/alphapose-results.json',
    min_confidence=0.3, box_scale=1.0)
evaluator = dict(type='MeshEvaluator', protocol='open')
