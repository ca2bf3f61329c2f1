# The free start model with the features of a foreground map: the free segmenter, and a small network for its map.
_base_ = ['./hmr_r18.py', '../segmenters/hrnet_w8_open.py']

estimator = dict(
    type='ForegroundHMR', fusion='gate', start='open:r18_studio', segmenter={{_base_._segmenter}},
    reducer=dict(type='ResNet', depth=18, width=16), frozen=('backbone',))
