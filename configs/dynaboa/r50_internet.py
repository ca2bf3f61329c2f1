# DynaBOA on a video from the internet, with the values of its script for such videos.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/boa_r50.py', '../_base_/datasets/internet_video.py',
    '../_base_/adapters/dynamic_bilevel_paper.py']

adapter = _base_.pop('dynamic_bilevel')
adapter['weights']['shape_prior'] = 2e-4  # 2e-6 for 3DPW
