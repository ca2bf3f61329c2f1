# 3DHR-Co with BOA's bilevel steps on the free wild stream, with the free MPS-Net as teacher.
_base_ = ['../boa/r18_wild.py', '../_base_/adapters/pre_adapt_open.py', '../_base_/teachers/mpsnet_open.py']

adapter = dict(
    _delete_=True, type='Regeneration',
    pre=dict(_base_.pop('pre_adapt'), teacher=_base_.pop('teacher')), online=_base_.adapter)
