# 3DHR-Co on 3DPW, SPIN taught by MPS-Net (Table 3, sigma 35). The online part "follows the recent setting of the
# bilevel function of DynaBOA".
_base_ = [
    '../source/spin_3dpw.py', '../_base_/adapters/pre_adapt_paper.py', '../_base_/adapters/dynamic_bilevel_paper.py']

adapter = dict(type='Regeneration', pre=_base_.pop('pre_adapt'), online=_base_.pop('dynamic_bilevel'))
