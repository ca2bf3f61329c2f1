# Bodies fitted to masks alone, on photographs of one static camera. The keypoints give the boxes and measure the
# result; the fits do not use them. The weights of the network stay as they are.
_base_ = '../source/r18_photos.py'

dataset = dict(masks=dict(type='BackgroundSubtraction'))
evaluator = dict(silhouettes=True)
custom_hooks = [dict(type='MaskFigureHook', frames=20)]
adapter = dict(
    type='TopologyAdapter', mode='fit', fitting_steps=100, fitting_rate=1e-2, silhouette='chamfer',
    topology='chamfer', weights=dict(silhouette=1.0, topology=1.0, betas=1e-3))
