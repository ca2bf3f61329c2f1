# 3DHR-Co on a video from the internet, SPIN taught by MPS-Net (Figure 7): "We follow the DynaBOA setup".
_base_ = [
    '../source/spin_internet.py', '../_base_/adapters/pre_adapt_paper.py',
    '../_base_/adapters/dynamic_bilevel_paper.py']

adapter = dict(type='Regeneration', pre=_base_.pop('pre_adapt'), online=_base_.pop('dynamic_bilevel'))
adapter['online']['weights']['shape_prior'] = 2e-4  # of DynaBOA's script for internet videos, 2e-6 for 3DPW
