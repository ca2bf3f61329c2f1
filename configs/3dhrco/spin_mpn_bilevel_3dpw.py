# 3DHR-Co with BOA's bilevel steps in place of DynaBOA's ("Reg. Blv." of Figure 4).
_base_ = './spin_mpn_pre_3dpw.py'
adapter = dict(_delete_=True, type='Regeneration', pre={{_base_.adapter}}, online={{_base_._bilevel}})
