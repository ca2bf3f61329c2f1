# 3DPW's test set as VIBE, TCMR and MPS-Net distribute it, scored as VIBE does. Its 2D keypoints are detections that
# come with 3DPW.
dataset = dict(type='VIBEDatabase', file='data/vibe/3dpw_test_db.pt', image_root='data/3dpw', source='poses2d')
evaluator = dict(type='MeshEvaluator', protocol='vibe_3dpw')
