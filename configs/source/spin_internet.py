# The official SPIN on a video from the internet.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/spin.py', '../_base_/datasets/internet_video.py']

adapter = dict(type='Source')
